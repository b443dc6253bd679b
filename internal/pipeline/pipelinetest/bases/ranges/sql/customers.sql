SELECT customer_id FROM crm.customer
